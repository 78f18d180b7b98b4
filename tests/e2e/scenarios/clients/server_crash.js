import { same } from "../../support.js";

/** A server that dies without a word is found again as well. */
export default async function (stage) {
  const heard = stage.inbox("headline");
  const echo = stage.echo();
  const orders = echo.private(stage.name("orders")).listen(".headline", heard.take);
  await stage.subscribed(orders);
  const back = stage.until("subscription after the crash", (done) => orders.subscribed(done));

  await stage.restart("SIGKILL");

  await back;
  await stage.backOn(echo, orders);
  await stage.publish(orders.name, "headline", { n: 1 });
  same(await heard.next(), { n: 1 });
}
