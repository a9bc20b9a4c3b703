"""What a conversation is, without a socket, a clock, a thread or chance (rules: ``docs/protocol.md``).

`client.ClientSession` and `server.ServerSession` are the two machines; `messages` is what they say to each
other, `events` what they tell those who drive them, `lifecycle` what may follow what.
"""
