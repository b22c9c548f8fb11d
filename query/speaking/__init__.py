"""Who speaks: whether the mouth of a face and the sound agree, by a model of active speakers that the user has.

It owes its caller: a score for each frame of a clip, from the frames that the clip shows and the sound that it has; the
inputs that LR-ASD and Light-ASD were trained on. It does not know who the face is, and no model comes with the project.
mfcc.py describes sound, mouths.py cuts faces, model.py runs the model, speakers.py says which matches speak.
"""
