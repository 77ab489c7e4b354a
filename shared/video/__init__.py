"""Video without I/O but for the files it is given: stills in; H.264 clips out, which join without another encoding."""

from shared.video.clips import render_clip
from shared.video.encoding import Encoder
from shared.video.look import Aspect, Fit, Look, Resolution

__all__ = ["Aspect", "Encoder", "Fit", "Look", "Resolution", "render_clip"]
