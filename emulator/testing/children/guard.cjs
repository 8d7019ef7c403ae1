// What Node loads first in a shell that evaluated `kraken-emulator env`: what goes past the proxy, to the real
// Kraken, fails and is named. The same as ../guard.py, for Node 16 and later.
"use strict";
const { KRAKEN_EMULATOR_GUARD, KRAKEN_EMULATOR_ENDPOINTS } = process.env;
const ofTheVenue = /(^|\.)(kraken|cryptofacilities)\.com\.?$/i;
const told = new Set();

// Returns an error for a host of the real venue, else nothing.
function refusal(host, port) {
  if (typeof host !== "string" || !ofTheVenue.test(host)) return undefined;
  const place = port ? `${host}:${port}` : host;
  const reason = `${place} is the real Kraken; this program ignores the proxy of \`kraken-emulator env\``;
  if (!told.has(place)) {
    told.add(place);
    process.stderr.write(`kraken-emulator: refused: ${reason} (docs/clients/node.md says what clients want)\n`);
  }
  return Object.assign(new Error(reason), { code: "ENOTFOUND", hostname: host });
}

function guardSockets(net) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...words) {
    const [first, second] = Array.isArray(words[0]) ? words[0] : words;
    const [host, port] = first && typeof first === "object" ? [first.host, first.port] : [second, first];
    const error = refusal(host, port);
    if (!error) return connect.apply(this, words);
    process.nextTick(() => this.destroy(error));
    return this;
  };
}

// A promise is rejected, a callback, which comes last, is called.
function guardNames(owner, promises) {
  for (const name of Object.keys(owner)) {
    const original = owner[name];
    if (typeof original !== "function" || !/^(lookup|resolve)/.test(name)) continue;
    owner[name] = function (host, ...more) {
      const error = refusal(host);
      if (!error) return original.call(this, host, ...more);
      if (promises) return Promise.reject(error);
      process.nextTick(() => more[more.length - 1](error));
      return undefined;
    };
  }
}

if (KRAKEN_EMULATOR_GUARD === "proxy" && !KRAKEN_EMULATOR_ENDPOINTS) {
  guardSockets(require("net"));
  guardNames(require("dns"), false);
  guardNames(require("dns").promises, true);
}
