var config = {
 "hosts": {
  "domain": "meet.example.org",
  "anonymousdomain": "guest.meet.example.org",
  "authdomain": "meet.example.org",
  "muc": "conference.meet.example.org",
  "focus": "focus.meet.example.org"
 },
 "bosh": "https://meet.example.org/http-bind",
 "websocket": "wss://meet.example.org/xmpp-websocket",
 "bridgeChannel": {
  "preferSctp": true
 },
 "p2p": {
  "enabled": false,
  "stunServers": []
 },
 "analytics": {
  "disabled": true
 },
 "disableThirdPartyRequests": true,
 "gravatar": {
  "disabled": true
 },
 "giphy": {
  "enabled": false
 },
 "doNotStoreRoom": true
};
