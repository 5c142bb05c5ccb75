//! Keys, signatures, sealing, epoch keys and ratchets, vault at rest: bytes and keys in, bytes and keys out.
