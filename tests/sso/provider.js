// An identity provider: node provider.js HOME, where HOME/settings.json says what it is and whom it knows. It lets in
// whoever gives a name and any password, by forms of oidc-provider's own that are made for trying things out.
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const home = process.argv[2];
const { issuer, address, certificate, key, client, people } = JSON.parse(readFileSync(`${home}/settings.json`, 'utf8'));

const provider = new Provider(issuer, {
  clients: [{ grant_types: ['authorization_code'], response_types: ['code'], ...client }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'] },
  // As most providers do it, and not as the standard has it: the ID token says all that a scope stands for.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id, ...people[id] }) }),
});
provider.on('server_error', (_, error) => console.error(error));
const options = { cert: readFileSync(certificate), key: readFileSync(key) };
createServer(options, provider.callback()).listen(443, address, () => writeFileSync(`${home}/ready`, ''));
