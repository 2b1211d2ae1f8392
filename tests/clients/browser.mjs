// What the journeys share: the configuration, the person's browser at the other end of the pipe, keys.
import { createInterface } from "node:readline";
import { importPKCS8 } from "jose";

export const configuration = JSON.parse(process.argv[2]);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
  const { value } = await lines.next();
  const arrival = JSON.parse(value);
  if (arrival.method === "GET") return new Request(arrival.url);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return new Request(arrival.url, { method: arrival.method, body: arrival.body, headers });
}

// Send the person's browser to `url`; the request that came back to the redirect address.
export const open = (url) => ask({ open: String(url) });

// The next request that the service itself sent to the client.
export const hear = () => ask({ hear: "" });

// End well, and say with what.
export function done(result = {}) {
  process.stdout.write(JSON.stringify({ done: result }) + "\n");
  process.exitCode = 0;
  lines.return();
  process.stdin.destroy();
}

// The client's registered private key, as both libraries take it.
export async function signingKey(alg = "ES256") {
  return { key: await importPKCS8(configuration.key.pem, alg), kid: configuration.key.kid };
}
