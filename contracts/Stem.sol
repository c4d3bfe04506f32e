// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title The head that nodes follow
/// @notice A value, most often a CID, that its owner alone replaces, and a number that grows by one
/// with each replacement. A node that follows this contract (`ww run --stem ADDRESS`) adopts the pair
/// as its next epoch once the block that has it is final: all authority of older epochs ends there.
/// @dev The source of truth is head(), read at a final block; HeadUpdated is a hint to read it.
contract Stem {
    struct Head {
        uint64 seq;
        bytes cid;
    }

    /// @notice The head was replaced.
    /// @param seq the new head's number
    /// @param writer who replaced it
    /// @param cid the new value
    /// @param cidHash keccak256 of it, to look for it by
    event HeadUpdated(uint64 indexed seq, address indexed writer, bytes cid, bytes32 indexed cidHash);

    /// @notice The caller is not the owner.
    error NotOwner();

    /// @notice The new value is the one that there is already.
    error NoChange();

    /// @notice The value is longer than a node follows.
    error TooLong();

    /// What nodes follow at most: MAX_HEAD_BYTES of src/ww/stem, which a test compares.
    /// Refused here as well, where the mistake costs its maker a transaction: were it taken, every
    /// node would refuse the head instead, and whoever wrote it to end an epoch would not have.
    /// A node keeps its own limit, as it cannot know which code is behind an address.
    uint256 private constant MAX_HEAD_BYTES = 1024;

    /// @notice Who may replace the head: who deployed the contract, and never anybody else.
    address public immutable owner;

    /// @notice The head that stands.
    /// @return seq its number: 0 for the first, one more with each replacement
    /// @return cid its value, of 0 to 1024 bytes; nothing here looks into it
    Head public head;

    /// @param firstCid the head numbered 0. There is no event for it.
    constructor(bytes memory firstCid) {
        if (firstCid.length > MAX_HEAD_BYTES) revert TooLong();
        owner = msg.sender;
        head.cid = firstCid;
    }

    /// @notice The number of the head that stands.
    function seq() external view returns (uint64) {
        return head.seq;
    }

    /// @notice Replaces the head.
    /// @dev Reverts with NotOwner, TooLong or NoChange, in this order.
    /// @param newCid the new value. It may be empty, and may be one that stood earlier.
    function setHead(bytes calldata newCid) external {
        if (msg.sender != owner) revert NotOwner();
        if (newCid.length > MAX_HEAD_BYTES) revert TooLong();
        bytes32 cidHash = keccak256(newCid);
        if (cidHash == keccak256(head.cid)) revert NoChange();
        uint64 newSeq = head.seq + 1;
        head.seq = newSeq;
        head.cid = newCid;
        emit HeadUpdated(newSeq, msg.sender, newCid, cidHash);
    }
}
