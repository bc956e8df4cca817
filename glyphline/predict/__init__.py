"""A user's picture read, prepared as MNIST's own digits were, and classified by Keras or by an exported network.

MNIST's preparation, after LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86 (11), 1998, and http://yann.lecun.com/exdb/mnist/: the black-and-white digit is
fitted into 20x20 pixels with its aspect ratio kept, which the anti-aliasing turns grey, and placed in 28x28 pixels so
that its centre of mass is in the centre. What comes before that, finding the ink on the paper, is Glyphline's own: NIST
had scanned clean forms.
"""
