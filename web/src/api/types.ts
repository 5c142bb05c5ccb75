// Short names for the types of the local API.
import type { components } from './schema';

type S = components['schemas'];

export type Message = S['Message'];
export type RoomItem = S['RoomItem'];
export type Room = S['Room'];
export type Member = S['Member'];
export type Role = S['Role'];
export type Status = S['Status'];
export type SyncState = S['SyncState'];
export type Settings = S['Settings'];
export type UpdateSettings = S['UpdateSettings'];
export type Contact = S['Contact'];
export type ContactCard = S['ContactCard'];
export type Invite = S['Invite'];
export type CreateInvite = S['CreateInvite'];
export type Past = S['Past'];
export type JoinAsk = S['Request'];
export type OwnDevice = S['OwnDevice'];
export type Diagnosis = S['Diagnosis'];
export type Finding = S['Finding'];
export type Draft = S['Draft'];
export type OutboxEntry = S['OutboxEntry'];
export type FileInfo = S['File'];
export type FileChanged = S['FileChanged'];
export type Note = S['Note'];
export type Receipts = S['Receipts'];
export type Safety = S['Safety'];
export type Unread = S['Unread'];
export type UploadedFile = S['UploadedFile'];
export type Restoring = S['Restoring'];
export type JoinAnswer = S['JoinAnswer'];
export type JoinProgress = S['JoinProgress'];
export type Presence = S['Presence'];
export type MessageStatus = S['MessageStatus'];
export type Problem = S['Problem'];
export type Version = S['Version'];
export type Attention = S['Attention'];
export type UpdateAttention = S['UpdateAttention'];
export type Block = S['Block'];
export type Span = S['Span'];
export type ExportPage = S['ExportPage'];
export type ExportHead = S['ExportHead'];
export type Hook = S['Webhook'];
export type GroupInvitation = S['GroupInvitation'];
export type UpdateRoom = S['UpdateRoom'];
export type Profile = S['Profile'];
export type OwnProfile = S['OwnProfile'];
export type UpdateProfile = S['UpdateProfile'];
export type Visible = S['Visible'];

type Numbered = { seq: number; at: string };

/** An event of the node: `event` says which fields stand beside it. */
export type NodeEvent = Numbered &
  (
    | ({ event: 'ready' } & S['Ready'])
    | ({ event: 'message' } & Message)
    | ({ event: 'message.updated' } & Message)
    | ({ event: 'message.expired' } & S['MessageExpired'])
    | ({ event: 'system' } & Message)
    | ({ event: 'status' } & S['StatusChanged'])
    | ({ event: 'typing' } & S['Typing'])
    | ({ event: 'presence' } & S['PresenceChanged'])
    | ({ event: 'room' } & S['RoomChanged'])
    | ({ event: 'member' } & S['MemberChanged'])
    | ({ event: 'invite' } & S['InviteChanged'])
    | ({ event: 'request' } & S['RequestChanged'])
    | ({ event: 'join' } & S['JoinProgress'])
    | ({ event: 'device' } & S['DeviceChanged'])
    | ({ event: 'contact' } & S['ContactChanged'])
    | ({ event: 'profile' } & Profile)
    | ({ event: 'unread' } & S['Unread'])
    | ({ event: 'draft' } & S['Draft'])
    | ({ event: 'notification' } & S['Notification'])
    | ({ event: 'sync' } & S['SyncProgress'])
    | ({ event: 'peer' } & S['PeerChanged'])
    | ({ event: 'outbox' } & S['OutboxChanged'])
    | ({ event: 'file' } & S['FileChanged'])
    | ({ event: 'error' } & S['ErrorNote'])
  );
