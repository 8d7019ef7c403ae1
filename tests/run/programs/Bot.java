import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;

public class Bot {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest time = HttpRequest.newBuilder(URI.create("https://api.kraken.com/0/public/Time")).build();
        System.out.println(client.send(time, HttpResponse.BodyHandlers.ofString()).body());
        CompletableFuture<String> first = new CompletableFuture<>();
        WebSocket.Listener listener = new WebSocket.Listener() {
            public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
                first.complete(text.toString());
                return null;
            }
        };
        URI feed = URI.create("wss://ws.kraken.com/v2");
        WebSocket socket = client.newWebSocketBuilder().buildAsync(feed, listener).join();
        System.out.println(first.get(30, TimeUnit.SECONDS));
        socket.abort();
    }
}
