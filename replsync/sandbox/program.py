"""A program that greets and ends: small, static, and made without a compiler."""

import struct

_BASE = 0x400000
_HEADERS = 64 + 56  # bytes: the ELF header and one program header
_MACHINES = {"amd64": 62, "arm64": 183}


def greeting_program(text: str, architecture: str) -> bytes:
    """An ELF executable for Linux that writes `text` (ASCII, under 64 KiB) and exits with 0.

    `architecture` is amd64 or arm64.
    """
    message = text.encode("ascii")
    code = _amd64(len(message)) if architecture == "amd64" else _arm64(len(message))
    size = _HEADERS + len(code) + len(message)
    # Elf64_Ehdr and Elf64_Phdr of elf(5): one segment, readable and executable, with the whole file.
    elf = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 2, _MACHINES[architecture], 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return elf + segment + code + message


def _amd64(length: int) -> bytes:
    return (
        b"\xb8\x01\x00\x00\x00"  # mov eax, 1 (write)
        b"\xbf\x01\x00\x00\x00"  # mov edi, 1
        b"\x48\x8d\x35\x10\x00\x00\x00"  # lea rsi, [rip + 16]: the text, behind the code
        + b"\xba"
        + struct.pack("<I", length)  # mov edx, length
        + b"\x0f\x05"  # syscall
        b"\xb8\x3c\x00\x00\x00"  # mov eax, 60 (exit)
        b"\x31\xff"  # xor edi, edi
        b"\x0f\x05"  # syscall
    )


def _arm64(length: int) -> bytes:
    return struct.pack(
        "<8I",
        0xD2800020,  # mov x0, 1
        0x100000E1,  # adr x1, . + 28: the text, behind the code
        0xD2800002 | length << 5,  # mov x2, length
        0xD2800808,  # mov x8, 64 (write)
        0xD4000001,  # svc 0
        0xD2800000,  # mov x0, 0
        0xD2800BA8,  # mov x8, 93 (exit)
        0xD4000001,  # svc 0
    )
