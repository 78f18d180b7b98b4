import { same } from "../../support.js";

/** One channel: whether anybody is there, how many connections, and how many users. */
export default async function (stage) {
  const room = stage.echo({ user: "ann" }).join(stage.name("room"));
  const again = stage.echo({ user: "ann" }).join(stage.name("room"));
  await stage.subscribed(room, again);

  const counts = await stage.sdk.channelInfo(room.name, ["user_count", "subscription_count"]);
  same(counts, { occupied: true, user_count: 1, subscription_count: 2 }, "two tabs of one user");
  same((await stage.sdk.channelInfo(room.name)).occupied, true, "without info");
  same((await stage.sdk.channelInfo(stage.name("empty"))).occupied, false, "a channel with nobody");
}
