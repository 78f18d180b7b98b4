import { same } from "../../support.js";

/** Events of one channel arrive in the order in which they were sent, none missing and none twice. */
export default async function (stage) {
  const expected = Array.from({ length: 50 }, (_, n) => n);
  const heard = stage.inbox("tick");
  const ticker = stage.echo().channel(stage.name("ticker")).listen(".tick", ({ n }) => heard.take(n));
  await stage.subscribed(ticker);

  for (const n of expected) {
    await stage.publish(ticker.name, "tick", { n });
  }

  await stage.fence(ticker);
  same(heard.all, expected);
}
