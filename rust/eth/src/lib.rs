//! What deploying takes of Ethereum: transactions of type 2 (EIP-1559), signed with a key, and
//! Keccak-256, which addresses are made with.
//!
//! Signatures are deterministic (RFC 6979), so that the same transaction is the same bytes.

mod transaction;

use k256::ecdsa::SigningKey;
use sha3::{Digest, Keccak256};
use std::ptr;
use transaction::Transaction;
use ww_fence::{ErrorKind, Failure, WwBytes, WwError, WwSlice, deliver};

pub(crate) const ADDRESS_BYTES: usize = 20;

pub(crate) fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

pub(crate) fn wrong(text: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Other, text)
}

/// Says nothing of what the bytes are.
fn read_key(bytes: &[u8]) -> Result<SigningKey, Failure> {
    let bytes: &[u8; 32] =
        bytes.try_into().map_err(|_| wrong("a key of secp256k1 has 32 bytes"))?;
    SigningKey::from_bytes(bytes.into())
        .map_err(|_| wrong("no key of secp256k1: it is 0, or not below the order of the group"))
}

fn address_of(key: &SigningKey) -> [u8; ADDRESS_BYTES] {
    let point = key.verifying_key().to_sec1_point(false);
    let hash = keccak(&point.as_bytes()[1..]); // without the byte that says it is whole
    hash[hash.len() - ADDRESS_BYTES..].try_into().expect("the hash is longer")
}

/// Of these bytes.
///
/// # Safety
/// `hash` takes 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_keccak256(bytes: WwSlice, hash: *mut u8) {
    let digest = keccak(bytes.bytes());
    unsafe { ptr::copy_nonoverlapping(digest.as_ptr(), hash, digest.len()) };
}

/// The account that a key signs for.
///
/// # Safety
/// `address` takes 20 bytes; `error` as in `deliver`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_eth_address(
    key: WwSlice,
    address: *mut u8,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let own = address_of(&read_key(key.bytes())?);
            ptr::copy_nonoverlapping(own.as_ptr(), address, own.len());
            Ok(true)
        })
    }
}

/// A transaction that calls a contract, and sends it nothing. Fees are in wei a unit of gas.
#[repr(C)]
pub struct WwEthTransaction {
    pub chain_id: u64,
    pub nonce: u64,
    pub max_priority_fee: u64,
    pub max_fee: u64,
    pub gas: u64,
    pub to: WwSlice,
    pub data: WwSlice,
}

/// The transaction as it is sent, and its hash.
///
/// # Safety
/// What `transaction` points to is valid; `raw` takes a value, `hash` 32 bytes; `error` as in
/// `deliver`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_eth_sign(
    key: WwSlice,
    transaction: *const WwEthTransaction,
    raw: *mut WwBytes,
    hash: *mut u8,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let given = &*transaction;
            let to: [u8; ADDRESS_BYTES] =
                given.to.bytes().try_into().map_err(|_| wrong("an address has 20 bytes"))?;
            let signed = Transaction {
                chain_id: given.chain_id,
                nonce: given.nonce,
                max_priority_fee: given.max_priority_fee,
                max_fee: given.max_fee,
                gas: given.gas,
                to,
                data: given.data.bytes(),
            }
            .sign(&read_key(key.bytes())?)?;
            let digest = keccak(&signed);
            ptr::copy_nonoverlapping(digest.as_ptr(), hash, digest.len());
            raw.write(signed.into());
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn keccak_is_the_one_before_it_was_a_standard() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(hex(&keccak(b"")), empty);
        // More than a block of it.
        assert_eq!(hex(&keccak(b"head()"))[..8], *"8f7dcfa3");
        assert_ne!(keccak(&[0; 136]), keccak(&[0; 135]));
    }

    #[test]
    fn the_account_of_a_key() {
        // That of EIP-155's example, and the first of a test chain's.
        let of = |byte| hex(&address_of(&read_key(&[byte; 32]).ok().unwrap()));
        assert_eq!(of(0x46), "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
        let mut one = [0; 32];
        one[31] = 1;
        let address = hex(&address_of(&read_key(&one).ok().unwrap()));
        assert_eq!(address, "7e5f4552091a69125d5dfcb7b8c2659029395bdf");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for bytes in [&[][..], &[1; 31], &[1; 33], &[0; 32], &[0xff; 32]] {
            let text = read_key(bytes).err().unwrap().text;
            assert!(text.contains("secp256k1") && !text.contains("ff"), "{text}");
        }
    }
}
