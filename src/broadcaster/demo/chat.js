/** The JavaScript of the demo: everything that arrives, arrives here. */
import { Echo } from "./client.js";

export function join(options, show) {
  const echo = new Echo({ ...options, authEndpoint: "/broadcasting/auth" });

  echo.private("demo")
    .listen(".MessageSent", show.message)
    .listenForWhisper("typing", show.typing);

  echo.join("demo")
    .here(show.here)
    .joining(show.joining)
    .leaving(show.leaving);

  return echo;
}
