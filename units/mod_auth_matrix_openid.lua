-- Lets in whom our homeserver knows, and nobody else.
--
-- A client comes with a JWT in the address that it connects to (?token=), and in it a token that the homeserver gave to
-- the person (OpenID, client-server API). Element makes it where https://JITSI/.well-known/element/jitsi says
-- openidtoken-jwt; what signs the JWT says nothing, as clients have no secret. So the homeserver is asked whose token it is.
-- Neither is ever written to a log.

local async = require "util.async";
local base64 = require "util.encodings".base64;
local http = require "net.http";
local json = require "util.json";
local uuid = require "util.uuid";
local web = require "util.http";

local userinfo = module:get_option_string("matrix_userinfo");
local server_name = module:get_option_string("matrix_server_name");

-- Bytes: a name and a picture's address go with the token.
local LONGEST = 8192;

local function remember(event)
	local query = event.request.url and event.request.url.query;
	local fields = query and web.formdecode(query);
	if type(fields) == "table" and type(fields.token) == "string" then
		event.session.matrix_jwt = fields.token;
	end
end

module:hook_global("bosh-session", remember);
module:hook_global("websocket-session", remember);

-- JSON that anybody may have made up; nil where it is none.
local function parsed(text)
	local good, found = pcall(json.decode, text);
	return good and type(found) == "table" and found or nil;
end

-- The homeserver's token in a JWT (RFC 7519: base64 without padding, with - and _); nil where there is none.
local function token_in(jwt)
	if not jwt or #jwt > LONGEST then return nil; end
	local middle = jwt:match("^[%w_-]+%.([%w_-]+)%.[%w_-]*$");
	if not middle then return nil; end
	local plain = middle:gsub("[-_]", { ["-"] = "+", ["_"] = "/" });
	local claims = parsed(base64.decode(plain .. ("="):rep(-#plain % 4)) or "");
	local context = claims and type(claims.context) == "table" and claims.context;
	local matrix = context and type(context.matrix) == "table" and context.matrix;
	local token = matrix and matrix.token;
	return type(token) == "string" and #token <= 512 and token:match("^[%w._~+/=-]+$") or nil;
end

-- Whether a token is of somebody with an account here; and why not, for the log.
local function ours(token)
	if not token then return false, "without a token"; end
	if not async.ready() then return false, "at a moment when the homeserver can't be asked"; end
	local answer = async.wait_for(http.request(userinfo .. "?access_token=" .. web.urlencode(token)));
	if not answer then return false, "and the homeserver does not answer"; end
	if answer.code ~= 200 then return false, "with a token that the homeserver does not know"; end
	local who = parsed(answer.body or "");
	local sub = who and type(who.sub) == "string" and who.sub or "";
	if sub:sub(1, 1) ~= "@" or sub:sub(-#server_name - 1) ~= ":" .. server_name then
		return false, "with a token of another homeserver";
	end
	return true;
end

-- What Prosody asks of a handler of its own (util.sasl). Its ANONYMOUS never refuses anybody.
local handler = {};
handler.__index = handler;

local function fresh(session)
	return setmetatable({ session = session }, handler);
end

function handler:mechanisms()
	return { ANONYMOUS = true };
end

function handler:select(mechanism)
	if self.selected or mechanism ~= "ANONYMOUS" then return nil; end
	self.selected = mechanism;
	return true;
end

function handler:process()
	local good, why = ours(token_in(self.session.matrix_jwt));
	if not good then
		module:log("info", "somebody comes %s", why);
		return "failure", "not-authorized", "only people with an account at " .. server_name .. " open rooms here";
	end
	self.username = uuid.generate();
	return "success";
end

function handler:clean_clone()
	return fresh(self.session);
end

local provider = {};

function provider.get_sasl_handler(session)
	return fresh(session);
end

function provider.user_exists()
	return true;
end

local function never()
	return nil, "there are no passwords here";
end

for _, name in ipairs { "test_password", "get_password", "set_password", "create_user", "delete_user" } do
	provider[name] = never;
end

module:provides("auth", provider);
