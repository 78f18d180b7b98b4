import { same } from "../../support.js";

/** A trigger may ask how many hear it; a channel with nobody counts 0. */
export default async function (stage) {
  const name = stage.name("room");
  const rooms = ["ann", "ann", "bob"].map((user) => stage.echo({ user }).join(name));
  const lobby = stage.echo().channel(name);
  await stage.subscribed(lobby, ...rooms);
  const empty = `presence-${stage.name("empty")}`;

  const info = "user_count,subscription_count";
  const answer = await stage.sdk.trigger([rooms[0].name, lobby.name, empty], "headline", {}, { info });
  const batch = [{ channel: lobby.name, name: "headline", data: {} }];
  const batched = await stage.sdk.triggerBatch([...batch, { ...batch[0], channel: rooms[0].name, info }]);

  same(answer.channels, {
    [rooms[0].name]: { user_count: 2, subscription_count: 3 },
    [lobby.name]: { subscription_count: 1 },
    [empty]: { user_count: 0, subscription_count: 0 },
  });
  same(batched.batch, [{}, { user_count: 2, subscription_count: 3 }]);
}
