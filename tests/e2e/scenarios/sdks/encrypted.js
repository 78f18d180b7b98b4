import { same } from "../../support.js";

/** What is sent on an encrypted channel is read by its members, and the server never sees it. */
export default async function (stage) {
  const data = { text: "zażółć ☃", list: [1, null] };
  const [heard, wire] = [stage.inbox("secret"), stage.inbox("frame")];
  const echo = stage.echo();
  const vault = echo.encryptedPrivate(stage.name("vault")).listen(".secret", heard.take);
  echo.connector.pusher.connection.bind("message", (frame) => frame.event === "secret" && wire.take(frame.data));
  await stage.subscribed(vault);

  await stage.sdk.trigger(vault.name, "secret", data);
  await stage.sdk.triggerBatch([{ channel: vault.name, name: "secret", data: { n: 2 } }]);

  same([await heard.next(), await heard.next()], [data, { n: 2 }]);
  for (const sealed of [await wire.next(), await wire.next()]) {
    same(Object.keys(sealed).sort(), ["ciphertext", "nonce"], "what was on the wire");
  }
}
