"""Arrays and tables to matplotlib figures. Nothing here reads a file, and nothing but `style.save` writes one.

Each function draws one figure and returns it as a `style.Picture`, with its caption and its alt text. It looks the same
whatever matplotlib is configured to, leaves that configuration alone, and the same inputs give the same bytes. (The
figures of searches switch pyplot to Agg and close its figures.)
"""
