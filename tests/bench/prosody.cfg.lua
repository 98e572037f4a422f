-- A server of XMPP for scripts/bench networks. Buddies log in in the clear, accounts after STARTTLS.
run_as_root = true
daemonize = false
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
interfaces = { "@HOST@" }
c2s_ports = { 5222 }
c2s_direct_tls_ports = {}
legacy_ssl_ports = {}
s2s_ports = {}
http_ports = {}
https_ports = {}
modules_enabled = { "roster", "saslauth", "tls", "disco", "carbons", "mam", "smacks", "ping", "offline" }
modules_disabled = { "s2s" }
authentication = "internal_hashed"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
ssl = { key = "@DIR@/server.key", certificate = "@DIR@/server.crt" }
log = { { levels = { min = "info" }, to = "console" } }
VirtualHost "jabber.test"
