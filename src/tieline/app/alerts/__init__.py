"""Alerts: who is told of what needs them, by e-mail or webhook, once, and that it is over.

`concerns.py` says what stands now, `memory.py` what is to be told of it, `words.py` how, `channels.py` by which way,
`post.py` sends, and `watch.py` does all of it again and again inside the hub.
"""
