// The module that the server hands out, as a page of another origin loads it.

/** A client of the page's; *user* is who its application says it is. */
export async function echoOf(stage, { user = "ann", ...options } = {}) {
  const { Echo } = await import(`http://${stage.host}:${stage.port}/client.js`);
  const echo = new Echo({ key: stage.key, headers: { "X-Test-User": user }, ...options });
  stage.echoes.push(echo);
  return echo;
}

/** Wait until the server has let us onto *channel*. */
export function joined(stage, channel) {
  const inbox = stage.inbox(`being on ${channel.name}`);
  channel.subscribed(inbox.take);
  return channel.joined ? Promise.resolve() : inbox.next();
}
