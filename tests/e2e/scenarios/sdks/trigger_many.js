import { same } from "../../support.js";

/** One request for many channels of every kind, of which some have nobody. */
export default async function (stage) {
  const echo = stage.echo();
  const channels = [echo.channel(stage.name("a")), echo.private(stage.name("a")), echo.join(stage.name("a"))];
  const heard = stage.inbox("headline");
  channels.forEach((channel) => channel.listen(".headline", ({ n }) => heard.take([channel.name, n])));
  await stage.subscribed(...channels);
  const crowd = Array.from({ length: 97 }, (_, n) => stage.name(`nobody-${n}`));

  await stage.sdk.trigger([...channels.map(({ name }) => name), ...crowd], "headline", { n: 7 });

  const arrived = [await heard.next(), await heard.next(), await heard.next()];
  same(arrived.sort(), channels.map(({ name }) => [name, 7]).sort());
}
