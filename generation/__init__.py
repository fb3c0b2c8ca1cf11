"""D3S, how it is made: recipe -> plan -> guide -> image -> screen -> shards -> release, one file per stage.

The command is `python -m generation.run`. Torch and diffusers are imported only when a recipe diffuses.
"""
