// A certified provider of OpenID Connect on a free port. It prints its issuer. Anybody may sign in; the name is "SUBJECT:ROLE".
import http from "node:http";
import { Provider } from "oidc-provider";

let answer;
const server = http.createServer((request, reply) => answer(request, reply));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "console", client_secret: "a+secret%20of the:console", grant_types: ["authorization_code"],
      response_types: ["code"], redirect_uris: ["http://127.0.0.1:1/sign-in/oidc/callback"], application_type: "native",
    }],
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
    cookies: { keys: ["a key of the tests"] },
    async findAccount(_, id) {
      const [subject, role] = id.split(":");
      return {
        accountId: id,
        claims: async () => ({ sub: id, preferred_username: subject, groups: ["staff", `dicom-node-${role}`] }),
      };
    },
  });
  answer = provider.callback();
  console.log(issuer);
});
