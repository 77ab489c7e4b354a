"""Video without I/O but for the files it is given: stills in; H.264 clips out, which join without another encoding.

Nothing is imported here: `look` is for functions that have no PyAV.
"""
