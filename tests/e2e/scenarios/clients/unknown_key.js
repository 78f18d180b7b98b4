import { same } from "../../support.js";

/** A key that the server does not know ends in one refusal with 4001, and the client lets it be. */
export default async function (stage) {
  const [errors, retries] = [stage.inbox("error"), stage.inbox("retry")];
  const echo = stage.echo({ key: "nobody" });
  const { connection } = echo.connector.pusher;
  connection.bind("error", errors.take);
  connection.bind("connecting_in", retries.take);

  await stage.state(echo, "disconnected");
  same((await errors.next()).error.data.code, 4001, "the error's code");

  await stage.subscribed(stage.echo().channel(stage.name("lobby")));
  same([connection.state, sockets(echo), retries.all], ["disconnected", 1, []], "state, sockets opened, retries");
}

/** How many WebSockets the client opened, by its own record of what it did. */
function sockets(echo) {
  return echo.connector.pusher.timeline.events.filter((entry) => entry.state === "connecting" && entry.cid).length;
}
