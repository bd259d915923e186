"""Certificates of 127.0.0.1 that sign themselves."""

import subprocess
from pathlib import Path


def write_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate and its key, `NAME.crt` and `NAME.key`."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    return certificate, key
