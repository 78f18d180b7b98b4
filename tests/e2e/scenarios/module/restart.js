import { echoOf, joined } from "../../module.js";
import { same } from "../../support.js";

/** When the server comes back, so does the client, and its channels go on. */
export default async function (stage) {
  const echo = await echoOf(stage);
  const channel = echo.private(stage.name("orders"));
  const [news, back] = [stage.inbox("news"), stage.inbox("being back")];
  channel.listen("Announced", news.take);
  await joined(stage, channel);
  const before = echo.socketId();
  channel.subscribed(back.take);

  await stage.restart("SIGTERM");
  await back.next();
  // Where servers restart in turn, it may have come back twice.
  await joined(stage, echo.channel(stage.name("fence")));
  await joined(stage, channel);
  await stage.publish([channel.name], "Announced", { number: 1 });

  same(await news.next(), { number: 1 });
  same(echo.socketId() === before, false);
}
