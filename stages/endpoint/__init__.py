"""An OpenAI-compatible endpoint: asked, paid for, remembered and cut for. What stages share that ask one."""
