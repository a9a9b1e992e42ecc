"""What a function closes over: how it's found, remembered, and compared.

`reads` finds in code what it reads, `chains` and `things` follow that on a `walk`, `states` tell
what an object consists of, `conditions` remember it, `checks` make one compiled comparison of
them, and `draws` tell whether random numbers were drawn.
"""
