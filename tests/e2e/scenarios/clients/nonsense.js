import { same } from "../../support.js";

const NONSENSE = [
  "",
  "nonsense",
  "{",
  "[]",
  "null",
  '"text"',
  "{}",
  '{"event":null}',
  '{"event":["pusher:ping"],"data":{}}',
  '{"event":"no.such.event","data":{},"channel":"lobby"}',
  '{"event":"pusher_internal:member_added","data":"{}","channel":"lobby"}',
  '{"event":"pusher:subscribe"}',
  '{"event":"pusher:subscribe","data":""}',
  '{"event":"pusher:subscribe","data":{"channel":7}}',
  '{"event":"pusher:subscribe","data":{"channel":"spaces are not allowed"}}',
  '{"event":"pusher:subscribe","data":{"channel":"private-a"}}',
  '{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":":","channel_data":"[]"}}',
  '{"event":"pusher:subscribe","data":{"channel":"#server-to-user-ann"}}',
  '{"event":"pusher:unsubscribe","data":{"channel":"never-joined"}}',
  '{"event":"pusher:signin","data":{"auth":"x"}}',
  '{"event":"client-event","channel":"private-\\u0000\\ud800","data":1}',
  "[".repeat(5000),
];

/** Whatever one client sends, the server goes on: for the others in any case. */
export default async function (stage) {
  const heard = stage.inbox("headline");
  const bystander = stage.echo().channel(stage.name("news")).listen(".headline", heard.take);
  await stage.subscribed(bystander);
  const socket = bystander.pusher.connection.socket_id;

  for (const text of NONSENSE) {
    const echo = stage.echo();
    await stage.state(echo, "connected");
    echo.connector.pusher.connection.send(text);
    echo.connector.pusher.connection.send_event("pusher:ping", {});
    await stage.drained(echo);
    echo.disconnect();
  }

  await stage.publish(bystander.name, "headline", { n: 1 });
  same(await heard.next(), { n: 1 });
  same(bystander.pusher.connection.socket_id, socket, "the bystander's socket");
}
