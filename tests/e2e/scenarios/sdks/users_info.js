import { same } from "../../support.js";

/** The members of a presence channel, each once, however many tabs and whatever type their ids had. */
export default async function (stage) {
  const users = ["ann", "ann", "7"];
  const rooms = users.map((user) => stage.echo({ user }).join(stage.name("room")));
  await stage.subscribed(...rooms);

  const answer = await stage.sdk.usersInfo(rooms[0].name);

  same(answer.users.map(({ id }) => id).sort(), ["7", "ann"]);
  same(await stage.sdk.usersInfo(`presence-${stage.name("empty")}`), { users: [] }, "a channel with nobody");
}
