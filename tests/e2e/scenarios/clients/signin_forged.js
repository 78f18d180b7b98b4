import { same } from "../../support.js";

/** Nobody hears a user's events without that user's signature: not unsigned, not with a forged one. */
export default async function (stage) {
  const frames = stage.inbox("frame of another user's channel");
  const clients = [stage.echo(), stage.echo({ headers: { "X-Test-Secret": "guessed" } })];
  for (const { connector } of clients) {
    connector.pusher.connection.bind("message", (frame) => frame.event === "invoice.paid" && frames.take(frame));
  }
  await Promise.all(clients.map((echo) => stage.state(echo, "connected")));
  const [unsigned, forger] = clients;

  const answer = stage.inbox("answer to an unsigned subscription");
  unsigned.connector.pusher.connection.bind("message", answer.take);
  unsigned.connector.pusher.send_event("pusher:subscribe", { auth: "", channel: "#server-to-user-ann" });
  same((await answer.next()).event.endsWith("error"), true, "an unsigned subscription is refused");

  const refused = stage.inbox("answer to a forged signin");
  forger.connector.pusher.connection.bind("error", refused.take);
  forger.connector.signin();
  await refused.next();
  same(forger.connector.pusher.user.user_data, null, "who the forger is");

  await stage.publish("#server-to-user-ann", "invoice.paid", { invoice: 7 });
  await stage.fence(unsigned.channel(stage.name("lobby")));
  same(frames.all, []);
}
