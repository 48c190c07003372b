"""Google congestion control (draft-ietf-rmcat-gcc-02): how much the path can carry.

Delay gradients say when a queue grows before it loses anything; loss is the second opinion. The
draft's Kalman filter is replaced by the trend line that its authors' implementation went over to.
"""

from webrtc.rtp.congestion.controller import CongestionController
from webrtc.rtp.congestion.receive_side import ReceiveSideEstimator

__all__ = ["CongestionController", "ReceiveSideEstimator"]
