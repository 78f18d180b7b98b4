import { same } from "../../support.js";

/** One connection carries many channels; an event sent to two of them arrives once for each. */
export default async function (stage) {
  const echo = stage.echo();
  const bases = ["news", "weather", "sports"];
  const channels = [
    ...bases.map((base) => echo.channel(stage.name(base))),
    ...bases.map((base) => echo.private(stage.name(base))),
    ...bases.map((base) => echo.join(stage.name(base))),
  ];
  const heard = stage.inbox("headline");
  channels.forEach((channel) => channel.listen(".headline", ({ n }) => heard.take([channel.name, n])));
  await stage.subscribed(...channels);

  for (const [n, channel] of channels.entries()) {
    await stage.publish(channel.name, "headline", { n });
    same(await heard.next(), [channel.name, n]);
  }
  await stage.publish([channels[0].name, channels[4].name], "headline", { n: 99 });
  const twice = [await heard.next(), await heard.next()].sort();
  same(twice, [[channels[0].name, 99], [channels[4].name, 99]].sort(), "an event on two channels");
}
