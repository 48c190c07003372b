"""The native engine: compiled where that can be done, left out where it can't."""

from glob import glob

from setuptools import Extension, setup

NATIVE = "turnd/datapath/native"

setup(
    ext_modules=[
        Extension(
            "turnd.datapath.native._engine",
            [
                f"{NATIVE}/_engine.pyx",
                *(f for f in sorted(glob(f"{NATIVE}/*.c")) if not f.endswith("/_engine.c")),
            ],
            include_dirs=[NATIVE],
            depends=sorted(glob(f"{NATIVE}/*.h") + glob(f"{NATIVE}/*.pxd")),
            extra_compile_args=["-std=gnu11", "-O2", "-pthread"],
            extra_link_args=["-pthread"],
            # Elsewhere than on Linux, or without a compiler, the portable engine does it all.
            optional=True,
        )
    ],
)
