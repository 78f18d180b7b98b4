import { same } from "../../support.js";

/** A client that hears nothing asks whether the server is there, and is answered. */
export default async function (stage) {
  const pongs = stage.inbox("pong");
  const echo = stage.echo({ activityTimeout: 50 });
  const { connection } = echo.connector.pusher;
  connection.bind("message", ({ event }) => event === "pusher:pong" && pongs.take(event));
  await stage.state(echo, "connected");
  const socket = echo.socketId();

  await pongs.next();
  await pongs.next();

  same(echo.socketId(), socket, "the socket after two heartbeats");
}
