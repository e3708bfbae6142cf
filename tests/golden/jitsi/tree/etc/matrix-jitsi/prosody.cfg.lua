-- Written by matrix-baremetal; a change here is undone by the next run.
-- The XMPP server of Jitsi, for this machine alone: browsers come by way of nginx, and no other server does.

-- Jitsi's modules ask for parts of Prosody by the names that these have from 13 on (prosody.util.queue); Debian 12 has 0.12.
table.insert(package.searchers, function (name)
    local short = name:match("^prosody%.(.+)$")
    return short and function () return require(short) end or nil
end)

plugin_paths = { "/usr/share/matrix-baremetal/prosody", "/usr/share/jitsi-meet/prosody-plugins" }
data_path = "/run/matrix-jitsi-xmpp"
certificates = "/run/matrix-jitsi-xmpp"
storage = "memory"
log = { { levels = { min = "info" }, to = "console" } }
daemonize = false

modules_enabled = { "posix", "roster", "saslauth", "disco", "ping" }
modules_disabled = { "s2s", "offline", "register" }
allow_registration = false

-- Nothing but this machine is at the other end of these, so there is no TLS, and no certificate.
c2s_interfaces = { "127.0.0.1" }
c2s_ports = { 8085 }
c2s_direct_tls_ports = { }
c2s_require_encryption = false
http_interfaces = { "127.0.0.1" }
http_ports = { 8084 }
https_ports = { }
component_ports = { }
trusted_proxies = { "127.0.0.1" }
http_default_host = "meet.example.org"
consider_bosh_secure = true
consider_websocket_secure = true
smacks_max_unacked_stanzas = 5
smacks_hibernation_time = 60
smacks_max_old_sessions = 1

admins = { "focus@auth.meet.example.org", "jvb@auth.meet.example.org" }
component_admins_as_room_owners = true
muc_mapper_domain_base = "meet.example.org"
main_muc = "conference.meet.example.org"
lobby_muc = "lobby.meet.example.org"
breakout_rooms_muc = "breakout.meet.example.org"

-- People with an account at our homeserver. Who is here, jicofo opens a room for.
VirtualHost "meet.example.org"
    authentication = "matrix_openid"
    matrix_userinfo = "http://127.0.0.1:8086/_matrix/federation/v1/openid/userinfo"
    matrix_server_name = "example.org"
    modules_enabled = {
        "bosh", "websocket", "smacks", "features_identity", "conference_duration", "muc_lobby_rooms", "muc_breakout_rooms",
    }

-- Everybody else, who may join a room that there is.
VirtualHost "guest.meet.example.org"
    authentication = "jitsi-anonymous"
    modules_enabled = { "smacks" }

-- Jitsi's own programs.
VirtualHost "auth.meet.example.org"
    authentication = "matrix_parts"
    -- They know SCRAM; should one of them come to know PLAIN alone, it is on this machine that it says so.
    allow_unencrypted_plain_auth = true
    matrix_proxy = "focus.meet.example.org"
    modules_enabled = { "smacks" }
    smacks_hibernation_time = 15

Component "internal.auth.meet.example.org" "muc"
    modules_enabled = { "muc_hide_all", "muc_filter_access" }
    muc_filter_whitelist = "auth.meet.example.org"
    restrict_room_creation = true
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_tombstones = false
    muc_room_allow_persistent = false

Component "conference.meet.example.org" "muc"
    modules_enabled = { "muc_hide_all", "muc_meeting_id", "muc_password_whitelist" }
    restrict_room_creation = true
    muc_room_cache_size = 10000
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_password_whitelist = { "focus@auth.meet.example.org" }
    muc_tombstones = false
    muc_room_allow_persistent = false

Component "lobby.meet.example.org" "muc"
    modules_enabled = { "muc_hide_all" }
    restrict_room_creation = true
    muc_room_cache_size = 10000
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_tombstones = false
    muc_room_allow_persistent = false

Component "breakout.meet.example.org" "muc"
    modules_enabled = { "muc_hide_all", "muc_meeting_id" }
    restrict_room_creation = true
    muc_room_cache_size = 10000
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_tombstones = false
    muc_room_allow_persistent = false

-- Leads what clients ask of jicofo to it.
Component "focus.meet.example.org" "client_proxy"
    target_address = "focus@auth.meet.example.org"

Component "speakerstats.meet.example.org" "speakerstats_component"
    muc_component = "conference.meet.example.org"

Component "endconference.meet.example.org" "end_conference"
    muc_component = "conference.meet.example.org"

Component "avmoderation.meet.example.org" "av_moderation_component"
    muc_component = "conference.meet.example.org"

Component "metadata.meet.example.org" "room_metadata_component"
    muc_component = "conference.meet.example.org"
    breakout_rooms_component = "breakout.meet.example.org"

Component "polls.meet.example.org" "polls_component"
