-- The accounts of Jitsi's own two programs, with the passwords that systemd hands to this unit: nothing is on a disk.

local sasl = require "util.sasl";

local host = module.host;
-- By what they call themselves: which of the files is theirs.
local FILES = { focus = "jitsi_focus", jvb = "jitsi_bridge" };

local function password(name)
	local place, known = os.getenv("CREDENTIALS_DIRECTORY"), FILES[name];
	local file = place and known and io.open(place .. "/" .. known);
	if not file then return nil; end
	local text = file:read("*l");
	file:close();
	return text ~= "" and text or nil;
end

local provider = {};

function provider.get_password(name)
	return password(name);
end

function provider.test_password(name, given)
	local known = password(name);
	return known ~= nil and given == known or nil, "no such account, or another password";
end

function provider.user_exists(name)
	return FILES[name] ~= nil;
end

local function never()
	return nil, "these accounts are made elsewhere";
end

provider.set_password, provider.create_user, provider.delete_user = never, never, never;

function provider.get_sasl_handler()
	return sasl.new(host, {
		plain = function (_, name)
			local known = password(name);
			return known or "", known and true or nil;
		end;
	});
end

module:provides("auth", provider);

-- mod_client_proxy, which leads people's questions to jicofo, has to hear when that is there.
local proxy = module:get_option_string("matrix_proxy");

module:hook("roster-load", function (event)
	if event.username == "focus" and proxy then
		event.roster[proxy] = { subscription = "from", groups = {}, persist = false };
	end
end);
