"""Matches become files: which frames, which crop of each, cut exactly, with sound.

render.py is the story: plan.py plans the clips (framing.py places the crops), cutter.py decodes the frames, mp4.py
writes a file (resample.py crops its pictures, sound.py cuts its sound). A clip holds exactly the frames of its match
at their times. A result folder is there complete or not at all, and never replaces a folder with a file that is not
part of a result. It takes the matches of a person as query/search gives them and does not know how they are found, nor
the terminal; of an index it reads where shots begin and end.
"""
