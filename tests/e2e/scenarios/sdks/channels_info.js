import { same } from "../../support.js";

/** The occupied channels, by prefix, and how many users each presence channel has. */
export default async function (stage) {
  const ann = stage.echo({ user: "ann" });
  const bob = stage.echo({ user: "bob" });
  const rooms = [ann.join(stage.name("room")), bob.join(stage.name("room")), bob.join(stage.name("hall"))];
  const lobby = ann.channel(stage.name("lobby"));
  await stage.subscribed(lobby, ...rooms);
  await stage.subscribed(stage.echo({ user: "bob" }).join(stage.name("room")));
  const [room, , hall] = rooms.map(({ name }) => name);

  const all = (await stage.sdk.channelsInfo()).channels;
  same([all[room], all[hall], all[lobby.name]], [{}, {}, {}], "every channel");

  const counted = await stage.sdk.channelsInfo("presence-room", ["user_count"]);
  same(counted, { channels: { [room]: { user_count: 2 } } }, "users of the channels with a prefix");

  same(await stage.sdk.channelsInfo("no-such-prefix"), { channels: {} }, "no channel at all");
}
