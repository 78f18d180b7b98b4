// The server SDKs, one interface over each: scenarios call it and never ask which SDK they have.
import Pusher from "pusher";

export function sdk(job) {
  return job.sdk === "npm" ? npm(job, job.secret) : inPython(job, job.secret);
}

function npm(job, secret) {
  const { app_id: appId, key, host, port, master_key: encryptionMasterKeyBase64 } = job;
  const pusher = new Pusher({ appId, key, secret, host, port, encryptionMasterKeyBase64 });
  const get = async (path, { prefix, info = [] } = {}) => {
    const params = { ...(prefix && { filter_by_prefix: prefix }), ...(info.length && { info: info.join(",") }) };
    return (await pusher.get({ path, params })).json();
  };

  return {
    name: "npm",
    trigger: async (channels, event, data, { socketId, info } = {}) => {
      const params = { ...(socketId && { socket_id: socketId }), ...(info && { info }) };
      return (await pusher.trigger(channels, event, data, params)).json();
    },
    triggerBatch: async (batch) => (await pusher.triggerBatch(batch)).json(),
    sendToUser: async (user, event, data) => (await pusher.sendToUser(user, event, data)).json(),
    terminateUserConnections: async (user) => (await pusher.terminateUserConnections(user)).json(),
    channelsInfo: (prefix, info) => get("/channels", { prefix, info }),
    channelInfo: (channel, info) => get(`/channels/${channel}`, { info }),
    usersInfo: (channel) => get(`/channels/${channel}/users`),
    withSecret: (other) => npm(job, other),
  };
}

/** The SDKs for Python live in the test application, which calls the method it is asked to call. */
function inPython(job, secret) {
  const call = async (method, ...args) => {
    const response = await fetch(`${job.app}/sdk`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sdk: job.sdk, method, args, secret }),
    });
    const answer = await response.json();
    if (!response.ok) {
      throw Object.assign(new Error(`${method}: ${answer.error}`), { status: answer.status });
    }
    return answer;
  };

  return {
    name: job.sdk,
    trigger: (channels, event, data, { socketId = null } = {}) => call("trigger", channels, event, data, socketId),
    triggerBatch: (batch) => call("trigger_batch", batch),
    sendToUser: (...args) => call("send_to_user", ...args),
    terminateUserConnections: (user) => call("terminate_user_connections", user),
    channelsInfo: (prefix, info = []) => call("channels_info", prefix, info),
    channelInfo: (channel, info = []) => call("channel_info", channel, info),
    usersInfo: (channel) => call("users_info", channel),
    withSecret: (other) => inPython(job, other),
  };
}
