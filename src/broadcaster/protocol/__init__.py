"""The Pusher Channels protocol, sans-IO: text and time go in, effects come out.

The protocol's own document: <https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/>.
"""
