// A provider of OpenFeature for Node or for web pages, driven line by line: `KEY FLAG` on standard input is answered
// with the evaluation as JSON.
import { createInterface } from "node:readline";

const [kind, baseUrl, token] = process.argv.slice(2);
const headers = token ? [["X-API-Key", token]] : [];
const isWeb = kind === "web";
if (isWeb) {
  // Pages have these; the SDK for pages asks for them when it is loaded.
  globalThis.document ??= { visibilityState: "visible", addEventListener() {}, removeEventListener() {} };
  globalThis.window ??= globalThis;
}
const { OpenFeature } = await import(isWeb ? "@openfeature/web-sdk" : "@openfeature/server-sdk");
const { OFREPProvider, OFREPWebProvider } = await import(isWeb ? "@openfeature/ofrep-web-provider" : "@openfeature/ofrep-provider");
const provider = isWeb ? new OFREPWebProvider({ baseUrl, headers }) : new OFREPProvider({ baseUrl, headers });

let user = null;
async function evaluate(key, flag) {
  if (!isWeb) return OpenFeature.getClient().getBooleanDetails(flag, false, { targetingKey: key });
  if (key !== user) {
    user = key;
    await OpenFeature.setContext({ targetingKey: key });
  }
  return OpenFeature.getClient().getBooleanDetails(flag, false);
}

if (isWeb) await OpenFeature.setContext({ targetingKey: (user = "user-1") });
await OpenFeature.setProviderAndWait(provider);
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [key, flag] = line.split(" ");
  const { value, reason, variant, errorCode, errorMessage } = await evaluate(key, flag);
  if (errorCode) console.error(`${flag}: ${errorCode} ${errorMessage ?? ""}`);
  // Without an evaluation it is the default of the code.
  console.log(JSON.stringify({ value: errorCode ? null : value, reason, variant }));
}
process.exit(0);
