"""Discord: gateway and interactions in, messages out."""

from discord import VoiceClient

# The bot has no voice; the library would warn at every start that it lacks packages for it.
VoiceClient.warn_nacl = False
VoiceClient.warn_dave = False
