//! One kind of transaction: type 2 (EIP-1559), with no list of what it touches.

use crate::{ADDRESS_BYTES, keccak, wrong};
use alloy_rlp::{Encodable, Header};
use k256::ecdsa::SigningKey;
use ww_fence::Failure;

const TYPE: u8 = 2;
const VALUE: u64 = 0;

pub struct Transaction<'a> {
    pub chain_id: u64,
    pub nonce: u64,
    pub max_priority_fee: u64,
    pub max_fee: u64,
    pub gas: u64,
    pub to: [u8; ADDRESS_BYTES],
    pub data: &'a [u8],
}

/// A number of 32 bytes, as RLP has numbers: without the zeros in front.
struct Number([u8; 32]);

impl Encodable for Number {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        let zeros = self.0.iter().take_while(|&&b| b == 0).count();
        self.0[zeros..].encode(out);
    }
}

impl Transaction<'_> {
    fn fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.data.len());
        self.chain_id.encode(&mut out);
        self.nonce.encode(&mut out);
        self.max_priority_fee.encode(&mut out);
        self.max_fee.encode(&mut out);
        self.gas.encode(&mut out);
        self.to.encode(&mut out);
        VALUE.encode(&mut out);
        self.data.encode(&mut out);
        Header { list: true, payload_length: 0 }.encode(&mut out); // what it touches: no list
        out
    }

    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, Failure> {
        if self.chain_id == 0 {
            return Err(wrong("a transaction of chain 0 would count on any"));
        }
        if self.max_priority_fee > self.max_fee {
            return Err(wrong("a tip that is more than the whole fee"));
        }
        let mut fields = self.fields();
        let digest = keccak(&envelope(&fields));
        let (signature, recovery) = key.sign_prehash_recoverable(&digest);
        recovery.is_y_odd().encode(&mut fields);
        let (r, s) = signature.split_bytes();
        Number(r.into()).encode(&mut fields);
        Number(s.into()).encode(&mut fields);
        Ok(envelope(&fields))
    }
}

/// The type, and a list of the fields, which are encoded already.
fn envelope(fields: &[u8]) -> Vec<u8> {
    let mut out = vec![TYPE];
    Header { list: true, payload_length: fields.len() }.encode(&mut out);
    out.extend_from_slice(fields);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_rlp::Decodable;
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[0x46; 32].into()).unwrap()
    }

    fn transaction(data: &[u8]) -> Transaction<'_> {
        Transaction {
            chain_id: 31337,
            nonce: 0,
            max_priority_fee: 1_000_000_000,
            max_fee: 3_000_000_000,
            gas: 100_000,
            to: [0x35; ADDRESS_BYTES],
            data,
        }
    }

    /// Each field of a list, decoded by hand: a string's bytes, and nothing of an empty list.
    fn items(raw: &[u8]) -> Vec<Vec<u8>> {
        assert_eq!(raw[0], TYPE);
        let mut rest = &raw[1..];
        let list = Header::decode(&mut rest).unwrap();
        assert!(list.list && list.payload_length == rest.len());
        let mut found = Vec::new();
        while !rest.is_empty() {
            let item = Header::decode(&mut rest).unwrap();
            found.push(rest[..item.payload_length].to_vec());
            rest = &rest[item.payload_length..];
        }
        found
    }

    #[test]
    fn numbers_lose_the_zeros_in_front_and_zero_is_nothing() {
        let mut small = [0; 32];
        small[31] = 0x7f;
        let mut middle = [0; 32];
        middle[30] = 1;
        for (number, encoded) in [
            ([0; 32], &[0x80][..]),
            (small, &[0x7f]),
            (middle, &[0x82, 1, 0]),
            ([0xff; 32], &[&[0xa0][..], &[0xff; 32]].concat()),
        ] {
            assert_eq!(alloy_rlp::encode(Number(number)), encoded);
        }
        assert!(u64::decode(&mut &[0x82, 0, 1][..]).is_err(), "a leading zero is another number");
    }

    #[test]
    fn fields_are_in_their_order_whatever_their_length() {
        for length in [0, 1, 55, 56, 255, 256, 1100, 70_000] {
            let data = vec![0x7f; length];
            let raw = transaction(&data).sign(&key()).ok().unwrap();
            let found = items(&raw);
            assert_eq!(found.len(), 12);
            assert_eq!(found[0], [0x7a, 0x69]);
            assert!(found[1].is_empty(), "0 is no byte");
            assert_eq!(found[2], 1_000_000_000_u32.to_be_bytes());
            assert_eq!(found[5], [0x35; ADDRESS_BYTES]);
            assert!(found[6].is_empty() && found[8].is_empty());
            assert_eq!(found[7], data);
        }
    }

    #[test]
    fn who_signed_can_be_told() {
        for nonce in 0..64 {
            let one = Transaction { nonce, ..transaction(b"data") };
            let found = items(&one.sign(&key()).ok().unwrap());
            let odd = match &found[9][..] {
                [] => false,
                [1] => true,
                other => panic!("{other:?}"),
            };
            let whole = |bytes: &[u8]| {
                let mut out = [0; 32];
                out[32 - bytes.len()..].copy_from_slice(bytes);
                out
            };
            let signature = Signature::from_scalars(whole(&found[10]), whole(&found[11])).unwrap();
            let digest = keccak(&envelope(&one.fields()));
            let id = RecoveryId::new(odd, false);
            let signer = VerifyingKey::recover_from_prehash(&digest, &signature, id).unwrap();
            assert_eq!(signer, *key().verifying_key());
            // The other half of the scalars is refused by every node since EIP-2.
            assert_eq!(signature, signature.normalize_s());
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_signed() {
        assert!(Transaction { chain_id: 0, ..transaction(b"") }.sign(&key()).is_err());
        assert!(Transaction { max_fee: 1, ..transaction(b"") }.sign(&key()).is_err());
        assert_ne!(
            Transaction { chain_id: 1, ..transaction(b"") }.sign(&key()).ok().unwrap(),
            transaction(b"").sign(&key()).ok().unwrap()
        );
    }
}
