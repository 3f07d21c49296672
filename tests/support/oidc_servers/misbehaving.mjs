// A provider whose ID tokens have one fault each. It prints its issuer; each line of its input names the fault from now on.
import readline from "node:readline";
import { OAuth2Server } from "oauth2-mock-server";

const server = new OAuth2Server();
const foreign = new OAuth2Server();
await server.issuer.keys.generate("RS256");
await foreign.issuer.keys.generate("RS256");
await server.start(0, "127.0.0.1");
server.issuer.url = `http://127.0.0.1:${server.address().port}`;

let fault = "none";
const now = () => Math.floor(Date.now() / 1000);
const faults = {
  issuer: (payload) => { payload.iss = "https://evil.example"; },
  audience: (payload) => { payload.aud = "another program"; },
  nonce: (payload) => { payload.nonce = "of another sign-in"; },
  "no nonce": (payload) => { delete payload.nonce; },
  expired: (payload) => { payload.iat = now() - 7200; payload.exp = now() - 3600; },
  future: (payload) => { payload.iat = now() + 7200; payload.exp = now() + 9000; },
  "no role": (payload) => { delete payload.roles; },
  "two roles": (payload) => { payload.roles = ["viewer", "admin"]; },
  "no name": (payload) => { delete payload.preferred_username; },
};
server.service.on("beforeTokenSigning", (token) => {
  Object.assign(token.payload, { sub: "42", aud: "console", preferred_username: "mallory", roles: ["viewer"] });
  faults[fault]?.(token.payload);
});

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
server.service.on("beforeResponse", (response) => {
  const [header, payload, signature] = (response.body.id_token ?? "..").split(".");
  if (fault === "alg none") response.body.id_token = `${encode({ alg: "none", typ: "JWT" })}.${payload}.`;
  if (fault === "hmac") response.body.id_token = `${encode({ alg: "HS256", typ: "JWT" })}.${payload}.${signature}`;
  if (fault === "signature") response.body.id_token = `${header}.${payload.slice(0, -2)}AA.${signature}`;
  if (fault === "no token") delete response.body.id_token;
});

console.log(server.issuer.url);
readline.createInterface({ input: process.stdin }).on("line", (line) => { fault = line; console.log(line); });
