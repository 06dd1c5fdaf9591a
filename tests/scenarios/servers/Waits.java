import java.net.ServerSocket;
import java.net.Socket;

/** Three waits of a Java server: a read of its client, a read of a backend, and one with a time-out. */
public final class Waits {
    private static void start(String name, Socket socket) {
        new Thread(() -> {
            try {
                socket.getInputStream().read();
            } catch (java.io.IOException ended) {
                System.err.println(ended);
            }
        }, name).start();
    }

    public static void main(String[] arguments) throws Exception {
        int backend = Integer.parseInt(arguments[0]);
        ServerSocket server = new ServerSocket(0);
        System.out.println(server.getLocalPort());
        start("client", server.accept());
        start("backend", new Socket("127.0.0.1", backend));
        Socket timed = new Socket("127.0.0.1", backend);
        timed.setSoTimeout(600_000);
        start("timed", timed);
    }
}
