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
c2s_ports = { {{ port }} }
c2s_direct_tls_ports = { }
c2s_require_encryption = false
http_interfaces = { "127.0.0.1" }
http_ports = { {{ web }} }
https_ports = { }
component_ports = { }
trusted_proxies = { "127.0.0.1" }
http_default_host = "{{ host }}"
consider_bosh_secure = true
consider_websocket_secure = true
smacks_max_unacked_stanzas = 5
smacks_hibernation_time = 60
smacks_max_old_sessions = 1

admins = { "focus@auth.{{ host }}", "jvb@auth.{{ host }}" }
component_admins_as_room_owners = true
muc_mapper_domain_base = "{{ host }}"
main_muc = "conference.{{ host }}"
lobby_muc = "lobby.{{ host }}"
breakout_rooms_muc = "breakout.{{ host }}"

-- People with an account at our homeserver. Who is here, jicofo opens a room for.
VirtualHost "{{ host }}"
    authentication = "matrix_openid"
    matrix_userinfo = "{{ userinfo }}"
    matrix_server_name = "{{ server_name }}"
    modules_enabled = {
        "bosh", "websocket", "smacks", "features_identity", "conference_duration", "muc_lobby_rooms", "muc_breakout_rooms",
    }

-- Everybody else, who may join a room that there is.
VirtualHost "guest.{{ host }}"
    authentication = "jitsi-anonymous"
    modules_enabled = { "smacks" }

-- Jitsi's own programs.
VirtualHost "auth.{{ host }}"
    authentication = "matrix_parts"
    -- They know SCRAM; should one of them come to know PLAIN alone, it is on this machine that it says so.
    allow_unencrypted_plain_auth = true
    matrix_proxy = "focus.{{ host }}"
    modules_enabled = { "smacks" }
    smacks_hibernation_time = 15

Component "internal.auth.{{ host }}" "muc"
    modules_enabled = { "muc_hide_all", "muc_filter_access" }
    muc_filter_whitelist = "auth.{{ host }}"
    restrict_room_creation = true
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_tombstones = false
    muc_room_allow_persistent = false

Component "conference.{{ host }}" "muc"
    modules_enabled = { "muc_hide_all", "muc_meeting_id", "muc_password_whitelist" }
    restrict_room_creation = true
    muc_room_cache_size = 10000
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_password_whitelist = { "focus@auth.{{ host }}" }
    muc_tombstones = false
    muc_room_allow_persistent = false
{% for name in ("lobby", "breakout") %}

Component "{{ name }}.{{ host }}" "muc"
    modules_enabled = { "muc_hide_all"{{ ', "muc_meeting_id"' if name == "breakout" else "" }} }
    restrict_room_creation = true
    muc_room_cache_size = 10000
    muc_room_locking = false
    muc_room_default_public_jids = true
    muc_tombstones = false
    muc_room_allow_persistent = false
{% endfor %}

-- Leads what clients ask of jicofo to it.
Component "focus.{{ host }}" "client_proxy"
    target_address = "focus@auth.{{ host }}"
{% for name, kind in components %}

Component "{{ name }}.{{ host }}" "{{ kind }}"
    muc_component = "conference.{{ host }}"
{% endfor %}

Component "metadata.{{ host }}" "room_metadata_component"
    muc_component = "conference.{{ host }}"
    breakout_rooms_component = "breakout.{{ host }}"

Component "polls.{{ host }}" "polls_component"
