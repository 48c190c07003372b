"""The command line of the demo."""

from webrtc.demo.cli import main

main()
